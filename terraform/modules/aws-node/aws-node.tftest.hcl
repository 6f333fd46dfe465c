mock_provider "aws" {
  mock_resource "aws_instance" {
    defaults = {
      private_ip     = "192.0.2.11"
      ipv6_addresses = ["2001:db8::11"]
    }
  }
  mock_resource "aws_eip" {
    defaults = { public_ip = "203.0.113.11" }
  }
  mock_resource "aws_lb" {
    defaults = { dns_name = "edge.elb.example" }
  }
  mock_resource "aws_globalaccelerator_accelerator" {
    defaults = { ip_sets = [{ ip_addresses = ["198.51.100.1", "198.51.100.2"], ip_family = "IPv4" }] }
  }
}

variables {
  nodes           = { a-1 = { site = "a", server_id = "00000000000000a1", subnet_id = "subnet-a" } }
  vpc_id          = "vpc-1"
  ami             = "ami-1"
  ssh_public_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfA9mG0examplekeyofnobody ops@example"]
  ssh_from        = ["192.0.2.0/24"]
}

run "alone" {
  assert {
    condition     = output.edge_nodes["a-1"].unicast_v4 == "192.0.2.11" && output.edge_nodes["a-1"].ssh_host == "203.0.113.11"
    error_message = "The unicast address is the machine's own; SSH goes to the Elastic IP."
  }
  assert {
    condition     = output.nlb_dns_name == null && output.accelerator_addresses == []
    error_message = "Nothing stands before the nodes."
  }
  assert {
    condition     = output.nlb_target_group_arn == null
    error_message = "There is no target group."
  }
}

run "behind_a_balancer" {
  variables {
    nlb = { subnet_ids = ["subnet-a"], health_from = ["198.51.100.0/28"] }
  }
  assert {
    condition     = aws_lb_target_group_attachment.node["a-1"].quic_server_id == "0x00000000000000a1"
    error_message = "The balancer knows the node by its server ID."
  }
  assert {
    condition     = aws_lb_listener.edge[0].protocol == "TCP_QUIC" && length(aws_lb.edge[0].security_groups) == 0
    error_message = "AWS takes a QUIC listener without security groups only."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.open["health 198.51.100.0/28"].from_port == 9464
    error_message = "The balancer's health checks come in."
  }
  assert {
    condition     = output.nlb_dns_name == "edge.elb.example"
    error_message = "The callers' name points there."
  }
}

run "behind_an_accelerator" {
  variables {
    ipv6               = true
    global_accelerator = { health_from = ["203.0.113.0/24"] }
  }
  assert {
    condition     = output.accelerator_addresses == ["198.51.100.1", "198.51.100.2"]
    error_message = "The anycast addresses are AWS's."
  }
  assert {
    condition     = toset(keys(aws_globalaccelerator_endpoint_group.edge)) == toset(["TCP", "UDP"])
    error_message = "Calls over QUIC, and over TLS where UDP is blocked."
  }
  assert {
    condition     = output.edge_nodes["a-1"].unicast_v6 == "2001:db8::11"
    error_message = "An IPv6 address of AWS's is the machine's own."
  }
}

run "one_of_the_two" {
  command = plan

  variables {
    nlb                = { subnet_ids = ["subnet-a"], health_from = ["198.51.100.0/28"] }
    global_accelerator = { health_from = ["203.0.113.0/24"] }
  }
  expect_failures = [var.global_accelerator]
}
