data "vultr_os" "debian" {
  filter {
    name   = "name"
    values = [var.os_name]
  }
}

module "cloud_init" {
  source   = "../cloud-init"
  for_each = var.nodes

  hostname        = each.key
  ssh_user        = var.ssh_user
  ssh_public_keys = var.ssh_public_keys
}

resource "vultr_instance" "node" {
  for_each = var.nodes

  label             = each.key
  hostname          = each.key
  region            = each.value.region
  plan              = each.value.plan
  os_id             = data.vultr_os.debian.id
  enable_ipv6       = var.ipv6
  user_data         = module.cloud_init[each.key].user_data
  firewall_group_id = vultr_firewall_group.nodes.id
  tags              = var.tags

  lifecycle {
    # A change of either would make all machines anew at once. After the first boot they are Ansible's; to replace one,
    # drain it and say `terraform apply -replace=...`.
    ignore_changes = [user_data, os_id]
  }
}

resource "vultr_firewall_group" "nodes" {
  description = "anycast-edge: ${join(" ", keys(var.nodes))}"
}

locals {
  everywhere = ["0.0.0.0/0", "::/0"]
  # The key of each rule is known before any address is: Terraform plans by it.
  open = merge(
    { for prefix in local.everywhere : "quic ${prefix}" => { protocol = "udp", port = "443", prefix = prefix } },
    { for prefix in local.everywhere : "https ${prefix}" => { protocol = "tcp", port = "443", prefix = prefix } },
    { for prefix in local.everywhere : "icmp ${prefix}" => { protocol = "icmp", port = null, prefix = prefix } },
    { for prefix in var.ssh_from : "ssh ${prefix}" => { protocol = "tcp", port = "22", prefix = prefix } },
    { for prefix in var.monitoring_from : "monitoring ${prefix}" => { protocol = "tcp", port = "9464:9465", prefix = prefix } },
    { for name, prefix in var.forward_from : "forward from ${name}" => { protocol = "udp", port = "4434", prefix = prefix } },
    { for name, node in var.nodes : "forward ${name} v4" => { protocol = "udp", port = "4434", prefix = "${vultr_instance.node[name].main_ip}/32" } },
    { for name, node in var.nodes : "forward ${name} v6" => { protocol = "udp", port = "4434", prefix = "${vultr_instance.node[name].v6_main_ip}/128" } if var.ipv6 },
  )
}

resource "vultr_firewall_rule" "open" {
  for_each = local.open

  firewall_group_id = vultr_firewall_group.nodes.id
  notes             = each.key
  protocol          = each.value.protocol
  port              = each.value.port
  ip_type           = strcontains(each.value.prefix, ":") ? "v6" : "v4"
  subnet            = split("/", each.value.prefix)[0]
  subnet_size       = tonumber(split("/", each.value.prefix)[1])
}
