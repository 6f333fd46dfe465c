# Three machines that are there already, with a router in front of each: the test bed of this project, or any other.
terraform {
  required_version = ">= 1.9"
}

variable "nodes" {
  description = "The machines, as the module `hosts` takes them."
  type = map(object({
    site       = string
    server_id  = string
    unicast_v4 = string
    unicast_v6 = optional(string)
    ssh_host   = optional(string)
    ssh_user   = optional(string)
    bgp = optional(object({
      local_as  = number
      router_id = optional(string)
      multihop  = optional(number, 1)
      peers = list(object({
        address        = string
        as             = number
        md5_secret_ref = optional(string)
      }))
    }))
  }))
  default = {
    ams-1 = {
      site       = "ams"
      server_id  = "00000000000000a1"
      unicast_v4 = "198.51.100.11"
      unicast_v6 = "2001:db8:a1::11"
      bgp = {
        local_as = 64601
        peers = [
          { address = "198.51.100.1", as = 64999, md5_secret_ref = "bgp_md5" },
          { address = "2001:db8:a1::1", as = 64999, md5_secret_ref = "bgp_md5" },
        ]
      }
    }
    fra-1 = {
      site       = "fra"
      server_id  = "00000000000000b1"
      unicast_v4 = "198.51.100.21"
      unicast_v6 = "2001:db8:b1::11"
      bgp = {
        local_as = 64601
        peers = [
          { address = "198.51.100.17", as = 64999, md5_secret_ref = "bgp_md5" },
          { address = "2001:db8:b1::1", as = 64999, md5_secret_ref = "bgp_md5" },
        ]
      }
    }
    waw-1 = {
      site       = "waw"
      server_id  = "00000000000000c1"
      unicast_v4 = "198.51.100.37"
      unicast_v6 = "2001:db8:c1::11"
      bgp = {
        local_as = 64601
        peers = [
          { address = "198.51.100.33", as = 64999, md5_secret_ref = "bgp_md5" },
          { address = "2001:db8:c1::1", as = 64999, md5_secret_ref = "bgp_md5" },
        ]
      }
    }
  }
}

variable "ssh_user" {
  description = "The login that Ansible uses."
  type        = string
  default     = "ops"
}

module "nodes" {
  source = "../../modules/hosts"

  nodes    = var.nodes
  ssh_user = var.ssh_user
}

output "edge_nodes" {
  description = "What `edgectl inventory --from-terraform` reads."
  value       = module.nodes.edge_nodes
}
