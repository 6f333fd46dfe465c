mock_provider "vultr" {
  mock_resource "vultr_instance" {
    defaults = {
      main_ip    = "192.0.2.11"
      v6_main_ip = "2001:db8::11"
    }
  }
  mock_data "vultr_os" {
    defaults = { id = "2136" }
  }
}

variables {
  nodes           = { a-1 = { site = "a", server_id = "00000000000000a1", region = "ams" } }
  ssh_public_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfA9mG0examplekeyofnobody ops@example"]
  ssh_from        = ["192.0.2.0/24"]
}

run "a_node_announces_to_vultrs_router" {
  variables {
    bgp = { local_as = 64601 }
  }
  assert {
    condition     = output.edge_nodes["a-1"].bgp.peers == [{ address = "169.254.169.254", as = 64515, family = "ipv4", md5_secret_ref = "bgp_md5" }]
    error_message = "Vultr's router has a link-local address and a private AS."
  }
  assert {
    condition     = output.edge_nodes["a-1"].bgp.multihop == 2 && output.edge_nodes["a-1"].bgp.router_id == "192.0.2.11"
    error_message = "It is two hops away."
  }
}

run "without_bgp_or_ipv6" {
  variables {
    ipv6 = false
  }
  assert {
    condition     = output.edge_nodes["a-1"].bgp == null && output.edge_nodes["a-1"].unicast_v6 == null
    error_message = "What there is none of is null."
  }
}

run "only_the_office_comes_in_by_ssh" {
  command = plan

  assert {
    condition     = [for rule in vultr_firewall_rule.open : "${rule.subnet}/${rule.subnet_size}" if rule.port == "22"] == ["192.0.2.0/24"]
    error_message = "SSH is open to ssh_from and nobody else."
  }
  assert {
    condition     = length([for rule in vultr_firewall_rule.open : rule if rule.port == "443" && rule.subnet_size == 0]) == 4
    error_message = "QUIC and HTTPS are open to all, over IPv4 and IPv6."
  }
}

run "a_password_is_no_reference" {
  command = plan

  variables {
    bgp = { local_as = 64601, md5_secret_ref = "Tr0ub4dor" }
  }
  expect_failures = [var.bgp]
}

run "the_roles_are_for_debian" {
  command = plan

  variables {
    os_name = "CentOS 7 x64"
  }
  expect_failures = [var.os_name]
}
