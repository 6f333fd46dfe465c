variable "nodes" {
  description = "The machines to make, by the names of the nodes. `region` and `plan` are Vultr's, such as `ams` and `vc2-2c-4gb`."
  type = map(object({
    site      = string
    server_id = string
    region    = string
    plan      = optional(string, "vc2-2c-4gb")
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

variable "bgp" {
  description = <<-EOT
    The account's BGP, which Vultr switches on by a ticket; null where the nodes announce nothing. `local_as` is the AS
    number that Vultr gave or accepted. `peers_v6` are its IPv6 routers, which a machine's metadata names
    (`bgp.ipv6.peer-address` in `http://169.254.169.254/v1.json`). `md5_secret_ref` is the name of the sessions'
    password, never the password; null for none.
  EOT
  type = object({
    local_as       = number
    peers_v4       = optional(list(string), ["169.254.169.254"])
    peers_v6       = optional(list(string), [])
    peer_as        = optional(number, 64515)
    md5_secret_ref = optional(string, "bgp_md5")
  })
  default = null

  validation {
    condition     = alltrue([for number in [try(var.bgp.local_as, 1), try(var.bgp.peer_as, 1)] : number >= 1 && number <= 4294967294 && floor(number) == number])
    error_message = "bgp: an AS number is out of range; a whole number from 1 to 4294967294."
  }

  validation {
    condition     = alltrue(concat([for peer in try(var.bgp.peers_v4, []) : try(cidrhost("${peer}/32", 0), "") == peer && !strcontains(peer, ":")], [for peer in try(var.bgp.peers_v6, []) : strcontains(try(cidrhost("${peer}/128", 0), ""), ":")]))
    error_message = "bgp: a peer is none; peers_v4 are IPv4 addresses and peers_v6 IPv6 addresses, without a prefix length."
  }

  validation {
    condition     = var.bgp == null || length(concat(try(var.bgp.peers_v4, []), try(var.bgp.peers_v6, []))) > 0
    error_message = "bgp: there is no peer; leave peers_v4 out, which is Vultr's IPv4 router, or set bgp to null."
  }

  validation {
    condition     = can(regex("^bgp_md5(_[a-z0-9]+)*$", try(coalesce(var.bgp.md5_secret_ref, "bgp_md5"), "bgp_md5")))
    error_message = "bgp.md5_secret_ref: the name of a secret is meant, bgp_md5 or bgp_md5_SOMETHING, not the password: Terraform's state keeps all that it is given. The password itself is in the file that the fleet file names."
  }
}

variable "ipv6" {
  description = "Whether the machines get an IPv6 address."
  type        = bool
  default     = true
}

variable "os_name" {
  description = "What Vultr calls the operating system; Debian 12 or newer."
  type        = string
  default     = "Debian 12 x64 (bookworm)"

  validation {
    condition     = startswith(var.os_name, "Debian ")
    error_message = "os_name: ${var.os_name} is no Debian; the roles that follow are for Debian 12 and newer."
  }
}

variable "tags" {
  description = "Tags of the machines."
  type        = set(string)
  default     = ["anycast-edge"]
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
