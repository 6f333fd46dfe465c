resource "aws_globalaccelerator_accelerator" "edge" {
  count = var.global_accelerator == null ? 0 : 1

  name            = var.name
  ip_address_type = "IPV4"
  enabled         = true
  tags            = var.tags
}

resource "aws_globalaccelerator_listener" "edge" {
  for_each = var.global_accelerator == null ? toset([]) : toset(["TCP", "UDP"])

  accelerator_arn = aws_globalaccelerator_accelerator.edge[0].id
  protocol        = each.key
  # An address keeps its node, whatever its port: a call over QUIC and its fallback over TLS end at one.
  client_affinity = "SOURCE_IP"

  port_range {
    from_port = 443
    to_port   = 443
  }
}

resource "aws_globalaccelerator_endpoint_group" "edge" {
  for_each = aws_globalaccelerator_listener.edge

  listener_arn                  = each.value.id
  health_check_protocol         = "HTTP"
  health_check_port             = 9464
  health_check_path             = "/readyz"
  health_check_interval_seconds = 10
  threshold_count               = 2

  dynamic "endpoint_configuration" {
    for_each = aws_instance.node

    content {
      endpoint_id                    = endpoint_configuration.value.id
      client_ip_preservation_enabled = true
      weight                         = 128
    }
  }
}
