# One fleet of two clouds' machines, with one that was there before, which announce the prefix. Its keys are in
# VULTR_API_KEY and CHERRY_AUTH_TOKEN.
#
# Machines in AWS announce nothing, so they are no part of this fleet: put them behind a balancer, as a fleet of their own.
terraform {
  required_version = ">= 1.9"

  required_providers {
    vultr = {
      source  = "vultr/vultr"
      version = ">= 2.31.0, < 3.0.0"
    }
    cherryservers = {
      source  = "cherryservers/cherryservers"
      version = ">= 1.5.0, < 2.0.0"
    }
  }
}

provider "vultr" {}

provider "cherryservers" {}

variable "ssh_public_keys" {
  description = "Who may log in."
  type        = list(string)
}

variable "office" {
  description = "The prefixes that operators and Prometheus come from."
  type        = list(string)
}

variable "cherry_project_id" {
  description = "The project at Cherry Servers, with BGP."
  type        = number
}

variable "local_as" {
  description = "The fleet's own AS number, which all its nodes announce from."
  type        = number
}

module "hosts" {
  source = "../../modules/hosts"

  nodes = {
    ams-1 = {
      site       = "ams"
      server_id  = "00000000000000a1"
      unicast_v4 = "198.51.100.11"
      unicast_v6 = "2001:db8:a1::11"
      ssh_host   = "ams-1.mgmt.example"
      bgp = {
        local_as = var.local_as
        peers = [
          { address = "198.51.100.1", as = 64497, md5_secret_ref = "bgp_md5_ams" },
          { address = "2001:db8:a1::1", as = 64497, md5_secret_ref = "bgp_md5_ams" },
        ]
      }
    }
  }
}

module "vultr" {
  source = "../../modules/vultr-node"

  nodes           = { ewr-1 = { site = "ewr", server_id = "00000000000000b1", region = "ewr" } }
  bgp             = { local_as = var.local_as, md5_secret_ref = "bgp_md5_vultr" }
  ssh_public_keys = var.ssh_public_keys
  ssh_from        = var.office
  monitoring_from = var.office
  # The others' addresses as prefixes: packets for calls of these nodes come from there.
  forward_from = merge(
    { for name, node in merge(module.hosts.edge_nodes, module.cherry.edge_nodes) : "${name} v4" => "${node.unicast_v4}/32" },
    { for name, node in module.hosts.edge_nodes : "${name} v6" => "${node.unicast_v6}/128" },
  )
}

module "cherry" {
  source = "../../modules/cherry-node"

  nodes           = { vno-1 = { site = "vno", server_id = "00000000000000c1", region = "LT-Siauliai", plan = "B1-4-4gb-80s-shared" } }
  project_id      = var.cherry_project_id
  bgp             = { local_as = var.local_as }
  ssh_public_keys = var.ssh_public_keys
}

# One list of them all, in which no name and no server ID may be there twice.
module "fleet" {
  source = "../../modules/fleet"

  parts = [module.hosts.edge_nodes, module.vultr.edge_nodes, module.cherry.edge_nodes]
}

output "edge_nodes" {
  description = "What `edgectl inventory --from-terraform` reads."
  value       = module.fleet.edge_nodes
}
