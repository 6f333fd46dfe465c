variable "nodes" {
  description = <<-EOT
    The machines, by the names of the nodes. `unicast_v4` and `unicast_v6` are addresses that the machine has itself.
    `ssh_host` is where SSH finds it, if not there. `bgp` is for those that announce routes: `router_id` is the IPv4
    address unless it is given, `multihop` how many hops away the routers are, and `md5_secret_ref` the name of the
    session's password, never the password.
  EOT
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

  validation {
    condition     = alltrue([for node in var.nodes : try(cidrhost("${node.unicast_v4}/32", 0), "") == node.unicast_v4 && !strcontains(node.unicast_v4, ":")])
    error_message = "nodes: ${join(", ", [for name, node in var.nodes : "${name} (${node.unicast_v4})" if try(cidrhost("${node.unicast_v4}/32", 0), "") != node.unicast_v4 || strcontains(node.unicast_v4, ":")])}: unicast_v4 is no IPv4 address; write it without a prefix length, such as 192.0.2.11."
  }

  validation {
    condition     = alltrue([for node in var.nodes : node.unicast_v6 == null || strcontains(try(cidrhost("${node.unicast_v6}/128", 0), ""), ":")])
    error_message = "nodes: ${join(", ", [for name, node in var.nodes : "${name} (${node.unicast_v6})" if node.unicast_v6 != null && !strcontains(try(cidrhost("${node.unicast_v6}/128", 0), ""), ":")])}: unicast_v6 is no IPv6 address; write it without a prefix length, such as 2001:db8::11."
  }

  validation {
    condition     = length(distinct([for node in var.nodes : node.unicast_v4])) == length(var.nodes)
    error_message = "nodes: ${join(", ", [for name, node in var.nodes : "${name} (${node.unicast_v4})" if length([for other in var.nodes : other if other.unicast_v4 == node.unicast_v4]) > 1])}: one unicast address for several nodes; each machine has its own."
  }

  validation {
    condition     = length(distinct([for node in var.nodes : cidrhost("${node.unicast_v6}/128", 0) if node.unicast_v6 != null])) == length([for node in var.nodes : node if node.unicast_v6 != null])
    error_message = "nodes: ${join(", ", [for name, node in var.nodes : "${name} (${node.unicast_v6})" if node.unicast_v6 != null && length([for other in var.nodes : other if try(cidrhost("${other.unicast_v6}/128", 0), "") == try(cidrhost("${node.unicast_v6}/128", 0), "-")]) > 1])}: one unicast_v6 for several nodes; each machine has its own."
  }

  validation {
    condition     = alltrue([for node in var.nodes : try(strcontains(node.bgp.router_id, ":") ? "" : cidrhost("${node.bgp.router_id}/32", 0), "") == node.bgp.router_id if try(node.bgp.router_id, null) != null])
    error_message = "nodes: ${join(", ", [for name, node in var.nodes : "${name} (${node.bgp.router_id})" if try(node.bgp.router_id, null) != null && try(try(strcontains(node.bgp.router_id, ":") ? "" : cidrhost("${node.bgp.router_id}/32", 0), "") != node.bgp.router_id, true)])}: router_id is written like an IPv4 address, such as 192.0.2.11."
  }

  validation {
    # What ssh would take for an option is none, either.
    condition     = alltrue([for node in var.nodes : can(regex("^[A-Za-z0-9_:\\[][A-Za-z0-9._:%\\[\\]-]{0,252}$", coalesce(node.ssh_host, node.unicast_v4)))])
    error_message = "nodes: ${join(", ", [for name, node in var.nodes : "${name} (${node.ssh_host})" if node.ssh_host != null && !can(regex("^[A-Za-z0-9_:\\[][A-Za-z0-9._:%\\[\\]-]{0,252}$", coalesce(node.ssh_host, node.unicast_v4)))])}: ssh_host is no host; write a name or an address."
  }

  validation {
    condition     = alltrue([for node in var.nodes : can(regex("^[a-z_][a-z0-9_-]{0,31}$", coalesce(node.ssh_user, "ops")))])
    error_message = "nodes: ${join(", ", [for name, node in var.nodes : "${name} (${node.ssh_user})" if node.ssh_user != null && !can(regex("^[a-z_][a-z0-9_-]{0,31}$", coalesce(node.ssh_user, "ops")))])}: ssh_user is no login name; write lower-case letters, digits, '-' and '_'."
  }

  validation {
    condition     = alltrue(flatten([for node in var.nodes : [for peer in try(node.bgp.peers, []) : strcontains(peer.address, ":") ? strcontains(try(cidrhost("${peer.address}/128", 0), ""), ":") : try(cidrhost("${peer.address}/32", 0), "") == peer.address]]))
    error_message = "nodes: ${join(", ", flatten([for name, node in var.nodes : [for peer in try(node.bgp.peers, []) : "${name} (${peer.address})" if !(strcontains(peer.address, ":") ? strcontains(try(cidrhost("${peer.address}/128", 0), ""), ":") : try(cidrhost("${peer.address}/32", 0), "") == peer.address)]]))}: a BGP peer's address is no address; write it without a prefix length."
  }

  validation {
    condition     = alltrue(flatten([for node in var.nodes : [for number in concat([for peer in try(node.bgp.peers, []) : peer.as], node.bgp == null ? [] : [node.bgp.local_as]) : number >= 1 && number <= 4294967294 && floor(number) == number]]))
    error_message = "nodes: an AS number is out of range; a whole number from 1 to 4294967294."
  }

  validation {
    condition     = alltrue([for node in var.nodes : node.bgp == null || (try(node.bgp.multihop, 1) >= 1 && try(node.bgp.multihop, 1) <= 255 && try(floor(node.bgp.multihop) == node.bgp.multihop, true) && length(try(node.bgp.peers, [])) > 0)])
    error_message = "nodes: ${join(", ", [for name, node in var.nodes : name if !(node.bgp == null || (try(node.bgp.multihop, 1) >= 1 && try(node.bgp.multihop, 1) <= 255 && try(floor(node.bgp.multihop) == node.bgp.multihop, true) && length(try(node.bgp.peers, [])) > 0))])}: bgp needs at least one peer, and a multihop of 1 to 255."
  }

  validation {
    condition     = alltrue(flatten([for node in var.nodes : [for peer in try(node.bgp.peers, []) : can(regex("^bgp_md5(_[a-z0-9]+)*$", coalesce(peer.md5_secret_ref, "bgp_md5")))]]))
    error_message = "nodes, md5_secret_ref: the name of a secret is meant, bgp_md5 or bgp_md5_SOMETHING, not the password: Terraform's state keeps all that it is given. The password itself is in the file that the fleet file names."
  }
}

variable "ssh_user" {
  description = "The login that Ansible uses, where a node has none of its own."
  type        = string
  default     = "ops"

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.ssh_user))
    error_message = "ssh_user: ${var.ssh_user} is no login name; write lower-case letters, digits, '-' and '_'."
  }
}
