resource "aws_security_group" "nodes" {
  name        = "${var.name}-nodes"
  description = "Nodes of anycast-edge"
  vpc_id      = var.vpc_id
  tags        = var.tags

  lifecycle {
    # AWS deletes no group that machines are in: with another name, they change over first.
    create_before_destroy = true
  }
}

locals {
  everywhere  = var.ipv6 ? ["0.0.0.0/0", "::/0"] : ["0.0.0.0/0"]
  health_from = distinct(concat(try(var.nlb.health_from, []), try(var.global_accelerator.health_from, [])))
  # ICMP is what path MTU discovery hangs on: type and code -1 are all of them.
  open = merge(
    { for prefix in local.everywhere : "quic ${prefix}" => { protocol = "udp", from = 443, to = 443, prefix = prefix } },
    { for prefix in local.everywhere : "https ${prefix}" => { protocol = "tcp", from = 443, to = 443, prefix = prefix } },
    { for prefix in local.everywhere : "icmp ${prefix}" => { protocol = strcontains(prefix, ":") ? "icmpv6" : "icmp", from = -1, to = -1, prefix = prefix } },
    { for prefix in var.ssh_from : "ssh ${prefix}" => { protocol = "tcp", from = 22, to = 22, prefix = prefix } },
    { for prefix in var.monitoring_from : "monitoring ${prefix}" => { protocol = "tcp", from = 9464, to = 9465, prefix = prefix } },
    { for prefix in local.health_from : "health ${prefix}" => { protocol = "tcp", from = 9464, to = 9464, prefix = prefix } },
    { for name, prefix in var.forward_from : "forward from ${name}" => { protocol = "udp", from = 4434, to = 4434, prefix = prefix } },
  )
}

resource "aws_vpc_security_group_ingress_rule" "open" {
  for_each = local.open

  security_group_id = aws_security_group.nodes.id
  description       = each.key
  ip_protocol       = each.value.protocol
  from_port         = each.value.from
  to_port           = each.value.to
  cidr_ipv4         = strcontains(each.value.prefix, ":") ? null : each.value.prefix
  cidr_ipv6         = strcontains(each.value.prefix, ":") ? each.value.prefix : null
}

resource "aws_vpc_security_group_ingress_rule" "forward" {
  security_group_id            = aws_security_group.nodes.id
  description                  = "forward among these nodes"
  ip_protocol                  = "udp"
  from_port                    = 4434
  to_port                      = 4434
  referenced_security_group_id = aws_security_group.nodes.id
}

resource "aws_vpc_security_group_egress_rule" "all" {
  for_each = toset(local.everywhere)

  security_group_id = aws_security_group.nodes.id
  description       = "everything"
  ip_protocol       = "-1"
  cidr_ipv4         = strcontains(each.key, ":") ? null : each.key
  cidr_ipv6         = strcontains(each.key, ":") ? each.key : null
}
