# Two nodes in two zones of a region, behind a Network Load Balancer that reads their server IDs. Credentials and the
# region are the AWS provider's usual ones, such as AWS_PROFILE and AWS_REGION.
terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.28.0, < 7.0.0"
    }
  }
}

provider "aws" {}

variable "vpc_id" {
  description = "The VPC that the subnets are in."
  type        = string
}

variable "subnets" {
  description = "A public subnet for each zone, by the zone's letter; its ID, its prefix, and the node in it: its private address, which the fleet file has as its service address, and its server ID."
  type        = map(object({ id = string, prefix = string, address = string, server_id = string }))
}

variable "ami" {
  description = "The image of Debian 12."
  type        = string
}

variable "ssh_public_keys" {
  description = "Who may log in."
  type        = list(string)
}

variable "office" {
  description = "The prefixes that operators and Prometheus come from."
  type        = list(string)
}

module "nodes" {
  source = "../../modules/aws-node"

  nodes = { for zone, subnet in var.subnets : "${zone}-1" => {
    site       = "zone-${zone}"
    server_id  = subnet.server_id
    subnet_id  = subnet.id
    private_ip = subnet.address
  } }
  vpc_id          = var.vpc_id
  ami             = var.ami
  nlb             = { subnet_ids = values(var.subnets)[*].id, health_from = values(var.subnets)[*].prefix }
  ssh_public_keys = var.ssh_public_keys
  ssh_from        = var.office
  monitoring_from = var.office
}

output "edge_nodes" {
  description = "What `edgectl inventory --from-terraform` reads."
  value       = module.nodes.edge_nodes
}

output "target_group_arn" {
  description = "Where AWS is told not to end connections of nodes that drain; see the module's README."
  value       = module.nodes.nlb_target_group_arn
}

output "name" {
  description = "What the callers' name points to."
  value       = module.nodes.nlb_dns_name
}
