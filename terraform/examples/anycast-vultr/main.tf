# Three sites at Vultr that announce one prefix. The API key is in VULTR_API_KEY, the BGP password nowhere here.
terraform {
  required_version = ">= 1.9"

  required_providers {
    vultr = {
      source  = "vultr/vultr"
      version = ">= 2.31.0, < 3.0.0"
    }
  }
}

provider "vultr" {}

variable "ssh_public_keys" {
  description = "Who may log in."
  type        = list(string)
}

variable "office" {
  description = "The prefixes that operators and Prometheus come from."
  type        = list(string)
}

variable "local_as" {
  description = "The AS number that Vultr gave or accepted."
  type        = number
  default     = 64512
}

variable "peers_v6" {
  description = "Vultr's IPv6 routers, which a machine's metadata names; none: IPv4 alone is announced."
  type        = list(string)
  default     = []
}

module "nodes" {
  source = "../../modules/vultr-node"

  nodes = {
    ams-1 = { site = "ams", server_id = "00000000000000a1", region = "ams" }
    ewr-1 = { site = "ewr", server_id = "00000000000000b1", region = "ewr" }
    nrt-1 = { site = "nrt", server_id = "00000000000000c1", region = "nrt", plan = "vc2-4c-8gb" }
  }
  bgp             = { local_as = var.local_as, peers_v6 = var.peers_v6 }
  ssh_public_keys = var.ssh_public_keys
  ssh_from        = var.office
  monitoring_from = var.office
}

output "edge_nodes" {
  description = "What `edgectl inventory --from-terraform` reads."
  value       = module.nodes.edge_nodes
}
