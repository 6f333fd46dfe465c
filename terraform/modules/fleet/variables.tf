variable "parts" {
  description = "The `edge_nodes` of modules, in a list."
  type = list(map(object({
    name       = string
    provider   = string
    site       = string
    server_id  = string
    unicast_v4 = string
    unicast_v6 = string
    ssh_host   = string
    ssh_user   = string
    bgp = object({
      router_id = string
      local_as  = number
      multihop  = number
      peers = list(object({
        address        = string
        as             = number
        family         = string
        md5_secret_ref = string
      }))
    })
  })))

  validation {
    condition     = length(distinct(flatten([for part in var.parts : keys(part)]))) == length(flatten([for part in var.parts : keys(part)]))
    error_message = "parts: ${join(", ", [for name in distinct(flatten([for part in var.parts : keys(part)])) : name if length([for part in var.parts : part if contains(keys(part), name)]) > 1])}: in several parts; a name is one node's."
  }

  validation {
    condition     = length(distinct(flatten([for part in var.parts : [for node in part : node.server_id]]))) == length(flatten([for part in var.parts : keys(part)]))
    error_message = "parts: ${join(", ", flatten([for part in var.parts : [for name, node in part : "${name} (${node.server_id})" if length([for other in flatten([for each in var.parts : values(each)]) : other if other.server_id == node.server_id]) > 1]]))}: one server ID for several nodes; packets find their node by it, so give each its own."
  }
}
