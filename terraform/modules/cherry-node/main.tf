data "cherryservers_project" "fleet" {
  id = var.project_id

  lifecycle {
    postcondition {
      condition     = var.bgp == null || try(self.bgp.enabled, false)
      error_message = "Project ${var.project_id} has no BGP. Switch it on at Cherry Servers (or by bgp = { enabled = true } of cherryservers_project), or set bgp to null here."
    }
  }
}

data "cherryservers_region" "of" {
  for_each = toset([for node in var.nodes : node.region])

  slug = each.key
}

module "cloud_init" {
  source   = "../cloud-init"
  for_each = var.nodes

  hostname        = each.key
  ssh_user        = var.ssh_user
  ssh_public_keys = var.ssh_public_keys
}

# There is no firewall to be had here: the machine's own is Ansible's.
resource "cherryservers_server" "node" {
  for_each = var.nodes

  project_id = var.project_id
  name       = each.key
  hostname   = each.key
  region     = each.value.region
  plan       = each.value.plan
  image      = var.image
  user_data  = base64encode(module.cloud_init[each.key].user_data)
  tags       = var.tags

  lifecycle {
    # A change of either would reinstall all machines at once. After the first boot they are Ansible's; to replace one,
    # drain it and say `terraform apply -replace=...`.
    ignore_changes = [user_data, image]
  }
}

locals {
  # Of each node's addresses those that the world reaches it at.
  v4 = { for name, node in cherryservers_server.node : name =>
    one([for ip in node.ip_addresses : ip.address if ip.type == "primary-ip" && ip.address_family == 4])
  }
  v6 = { for name, node in cherryservers_server.node : name =>
    one([for ip in node.ip_addresses : ip.address if ip.type == "primary-ip" && ip.address_family == 6])
  }
}
