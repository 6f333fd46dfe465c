variable "nodes" {
  description = "The machines to make in one region, by the names of the nodes. `subnet_id` is a public subnet of `vpc_id`; `private_ip` an address in it, which AWS chooses unless it is given."
  type = map(object({
    site          = string
    server_id     = string
    subnet_id     = string
    private_ip    = optional(string)
    instance_type = optional(string, "c7i.large")
  }))

  validation {
    condition     = alltrue([for name, node in var.nodes : can(regex("^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$", name))])
    error_message = "nodes: ${join(", ", [for name, node in var.nodes : name if !can(regex("^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$", name))])}: no name of a node; 1 to 63 lower-case letters, digits, '-', '.' and '_', a letter or digit at both ends."
  }

  validation {
    condition     = alltrue([for name, node in var.nodes : can(regex("^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$", node.site))])
    error_message = "nodes: ${join(", ", [for name, node in var.nodes : "${name} (${node.site})" if !can(regex("^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$", node.site))])}: no name of a site; 1 to 63 lower-case letters, digits, '-', '.' and '_', a letter or digit at both ends."
  }

  validation {
    condition     = alltrue([for name, node in var.nodes : can(regex("^[0-9a-f]{16}$", node.server_id))])
    error_message = "nodes: ${join(", ", [for name, node in var.nodes : "${name} (${node.server_id})" if !can(regex("^[0-9a-f]{16}$", node.server_id))])}: no server ID; write 16 hex digits in lower case, such as 00000000000000a1."
  }

  validation {
    condition     = length(distinct([for node in var.nodes : node.server_id])) == length(var.nodes)
    error_message = "nodes: ${join(", ", [for name, node in var.nodes : "${name} (${node.server_id})" if length([for other in var.nodes : other if other.server_id == node.server_id]) > 1])}: one server ID for several nodes; packets find their node by it, so give each its own."
  }
}

variable "name" {
  description = "What the security group, the accelerator and the balancer are called: at most 24 letters, digits and '-'."
  type        = string
  default     = "edge"

  validation {
    condition     = can(regex("^[a-zA-Z0-9]([a-zA-Z0-9-]{0,22}[a-zA-Z0-9])?$", var.name))
    error_message = "name: ${var.name} is none that AWS takes everywhere; 1 to 24 letters, digits and '-', a letter or digit at both ends."
  }
}

variable "vpc_id" {
  description = "The VPC that the subnets are in."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "vpc_id: ${var.vpc_id} is no VPC; its ID begins with vpc-."
  }
}

variable "ami" {
  description = "The image of Debian 12 or newer, for the architecture of the instance types."
  type        = string

  validation {
    condition     = startswith(var.ami, "ami-")
    error_message = "ami: ${var.ami} is no image; its ID begins with ami-."
  }
}

variable "ipv6" {
  description = "Whether the machines get an IPv6 address; the subnets must have some."
  type        = bool
  default     = false

  validation {
    condition     = !(var.ipv6 && var.nlb != null)
    error_message = "ipv6: AWS has no dual-stack balancer with a QUIC listener; leave ipv6 false, or set nlb to null."
  }
}

variable "nlb" {
  description = <<-EOT
    A Network Load Balancer with a TCP_QUIC listener before the nodes, which finds a call's node by the server ID in its
    connection IDs; null for none. `subnet_ids` are the balancer's, one for each zone, `health_from` their prefixes. Until
    `deletion_protection` is false and applied, AWS deletes no balancer that callers' names may point to.
  EOT
  type = object({
    subnet_ids          = list(string)
    health_from         = list(string)
    deletion_protection = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.nlb == null || length(try(var.nlb.subnet_ids, [])) > 0
    error_message = "nlb.subnet_ids: there is none; name a subnet for each zone that nodes are in."
  }

  validation {
    condition     = var.nlb == null || (length(try(var.nlb.health_from, [])) > 0 && alltrue([for prefix in try(var.nlb.health_from, []) : try(cidrsubnet(prefix, 0, 0), "") == prefix]))
    error_message = "nlb.health_from: give the prefixes of the balancer's subnets, such as [\"192.0.2.0/24\"]; its health checks come from there, and without them it sends nobody anywhere."
  }
}

variable "global_accelerator" {
  description = <<-EOT
    An accelerator before the nodes: two anycast addresses of AWS's; null for none. `health_from` are the prefixes of
    Route 53's health checkers, which AWS publishes.
  EOT
  type = object({
    health_from = list(string)
  })
  default = null

  validation {
    condition     = var.global_accelerator == null || (length(try(var.global_accelerator.health_from, [])) > 0 && alltrue([for prefix in try(var.global_accelerator.health_from, []) : try(cidrsubnet(prefix, 0, 0), "") == prefix]))
    error_message = "global_accelerator.health_from: give the prefixes of Route 53's health checkers; the accelerator's health checks come from there, and without them it sends nobody anywhere."
  }

  validation {
    condition     = !(var.global_accelerator != null && var.nlb != null)
    error_message = "global_accelerator: either this or nlb; the accelerator takes no QUIC listener as its endpoint."
  }
}

variable "tags" {
  description = "Tags of everything that is made."
  type        = map(string)
  default     = { fleet = "anycast-edge" }
}

variable "ssh_user" {
  description = "The login that Ansible uses; the machine is made with it."
  type        = string
  default     = "ops"
}

variable "ssh_public_keys" {
  description = "Who may log in: public keys as in authorized_keys, at least one. They matter on the first boot; later they are Ansible's."
  type        = list(string)
}

variable "ssh_from" {
  description = "Prefixes from which SSH is let in, such as [\"192.0.2.0/24\"]."
  type        = list(string)

  validation {
    condition     = alltrue([for prefix in var.ssh_from : try(cidrsubnet(prefix, 0, 0), "") == prefix])
    error_message = "ssh_from: ${join(", ", [for prefix in var.ssh_from : prefix if try(cidrsubnet(prefix, 0, 0), "") != prefix])}: no prefix; write a network's first address and its length, the shortest way, such as 192.0.2.0/24 or 2001:db8::/32."
  }
}

variable "monitoring_from" {
  description = "Prefixes from which metrics and the status page are let in (TCP 9464 and 9465)."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for prefix in var.monitoring_from : try(cidrsubnet(prefix, 0, 0), "") == prefix])
    error_message = "monitoring_from: ${join(", ", [for prefix in var.monitoring_from : prefix if try(cidrsubnet(prefix, 0, 0), "") != prefix])}: no prefix; write a network's first address and its length, the shortest way, such as 192.0.2.0/24 or 2001:db8::/32."
  }
}

variable "forward_from" {
  description = "Prefixes of the fleet's other nodes, by names of your choosing: they pass packets on to these nodes (UDP 4434). The nodes of this module are let in anyway."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for prefix in var.forward_from : try(cidrsubnet(prefix, 0, 0), "") == prefix])
    error_message = "forward_from: ${join(", ", [for name, prefix in var.forward_from : "${name} (${prefix})" if try(cidrsubnet(prefix, 0, 0), "") != prefix])}: no prefix; write a network's first address and its length, the shortest way, such as 192.0.2.11/32 or 2001:db8::11/128."
  }
}
