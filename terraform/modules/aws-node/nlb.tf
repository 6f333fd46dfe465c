# AWS's conditions on a balancer with a QUIC listener: IPv4 alone, no security groups, and no UDP listener beside it.
resource "aws_lb" "edge" {
  count = var.nlb == null ? 0 : 1

  name                             = var.name
  load_balancer_type               = "network"
  internal                         = false
  ip_address_type                  = "ipv4"
  subnets                          = var.nlb.subnet_ids
  enable_cross_zone_load_balancing = true
  # The callers' name points to its name and addresses, and a new one has others.
  enable_deletion_protection = var.nlb.deletion_protection
  tags                       = var.tags
}

resource "aws_lb_target_group" "edge" {
  count = var.nlb == null ? 0 : 1

  name               = var.name
  port               = 443
  protocol           = "TCP_QUIC"
  target_type        = "ip"
  vpc_id             = var.vpc_id
  preserve_client_ip = "true"
  tags               = var.tags

  # A node says there whether it wants newcomers: that is how a drain reaches the balancer.
  health_check {
    protocol            = "HTTP"
    port                = "9464"
    path                = "/readyz"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  # A node that wants no newcomers still has its calls. The provider tells AWS of it for TCP and TLS alone, so it has to be
  # told by hand as well: see README.md.
  target_health_state {
    enable_unhealthy_connection_termination = false
  }
}

resource "aws_lb_listener" "edge" {
  count = var.nlb == null ? 0 : 1

  load_balancer_arn = aws_lb.edge[0].arn
  port              = 443
  protocol          = "TCP_QUIC"
  tags              = var.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.edge[0].arn
  }
}

resource "aws_lb_target_group_attachment" "node" {
  for_each = var.nlb == null ? {} : var.nodes

  target_group_arn = aws_lb_target_group.edge[0].arn
  target_id        = aws_instance.node[each.key].private_ip
  port             = 443
  quic_server_id   = "0x${each.value.server_id}"
}
