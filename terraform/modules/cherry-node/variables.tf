variable "nodes" {
  description = "The machines to make, by the names of the nodes. `region` and `plan` are Cherry Servers' slugs, such as `LT-Siauliai`."
  type = map(object({
    site      = string
    server_id = string
    region    = string
    plan      = string
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

variable "project_id" {
  description = "The project that the machines are in. To announce routes it needs BGP switched on, and Cherry Servers' consent to the prefix."
  type        = number
}

variable "bgp" {
  description = <<-EOT
    null where the nodes announce nothing. The routers and their AS come from the region; `local_as` is the project's
    unless it is given. `multihop` is how many hops away the routers are. `md5_secret_ref` is the name of the sessions'
    password, never the password; null for none.
  EOT
  type = object({
    local_as       = optional(number)
    multihop       = optional(number, 2)
    md5_secret_ref = optional(string)
  })
  default = {}

  validation {
    condition     = try(coalesce(var.bgp.local_as, 1), 1) >= 1 && try(coalesce(var.bgp.local_as, 1), 1) <= 4294967294 && try(floor(var.bgp.local_as) == var.bgp.local_as, true)
    error_message = "bgp.local_as: out of range; a whole number from 1 to 4294967294."
  }

  validation {
    condition     = try(var.bgp.multihop, 2) >= 1 && try(var.bgp.multihop, 2) <= 255 && try(floor(var.bgp.multihop) == var.bgp.multihop, true)
    error_message = "bgp.multihop: 1 to 255 hops."
  }

  validation {
    condition     = can(regex("^bgp_md5(_[a-z0-9]+)*$", try(coalesce(var.bgp.md5_secret_ref, "bgp_md5"), "bgp_md5")))
    error_message = "bgp.md5_secret_ref: the name of a secret is meant, bgp_md5 or bgp_md5_SOMETHING, not the password: Terraform's state keeps all that it is given. The password itself is in the file that the fleet file names."
  }
}

variable "image" {
  description = "The slug of the operating system; Debian 12 or newer."
  type        = string
  default     = "debian_12_64bit"

  validation {
    condition     = startswith(var.image, "debian_")
    error_message = "image: ${var.image} is no Debian; the roles that follow are for Debian 12 and newer."
  }
}

variable "tags" {
  description = "Tags of the machines."
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
