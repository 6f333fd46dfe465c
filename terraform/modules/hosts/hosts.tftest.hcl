variables {
  nodes = {
    a-1 = {
      site       = "a"
      server_id  = "00000000000000a1"
      unicast_v4 = "192.0.2.11"
      bgp        = { local_as = 64601, peers = [{ address = "192.0.2.1", as = 64496 }, { address = "2001:db8::1", as = 64496 }] }
    }
    b-1 = { site = "b", server_id = "00000000000000b1", unicast_v4 = "192.0.2.12", ssh_host = "b-1.example", ssh_user = "root" }
  }
}

run "what_is_left_out_follows_from_the_rest" {
  assert {
    condition     = output.edge_nodes["a-1"].ssh_host == "192.0.2.11" && output.edge_nodes["a-1"].ssh_user == "ops"
    error_message = "SSH goes to the unicast address, as ops."
  }
  assert {
    condition     = output.edge_nodes["a-1"].bgp.router_id == "192.0.2.11" && output.edge_nodes["a-1"].bgp.multihop == 1
    error_message = "The router ID is the IPv4 address, and routers are on the link."
  }
  assert {
    condition     = [for peer in output.edge_nodes["a-1"].bgp.peers : peer.family] == ["ipv4", "ipv6"]
    error_message = "A session's family is its address's."
  }
}

run "what_is_given_stays" {
  assert {
    condition     = output.edge_nodes["b-1"].ssh_host == "b-1.example" && output.edge_nodes["b-1"].ssh_user == "root"
    error_message = "SSH goes where it was told to."
  }
  assert {
    condition     = output.edge_nodes["b-1"].bgp == null && output.edge_nodes["b-1"].unicast_v6 == null
    error_message = "A node without BGP or IPv6 has null there."
  }
}

run "a_server_id_is_one_nodes" {
  command = plan

  variables {
    nodes = {
      a-1 = { site = "a", server_id = "00000000000000a1", unicast_v4 = "192.0.2.11" }
      b-1 = { site = "b", server_id = "00000000000000a1", unicast_v4 = "192.0.2.12" }
    }
  }
  expect_failures = [var.nodes]
}

run "a_password_is_no_reference" {
  command = plan

  variables {
    nodes = {
      a-1 = {
        site       = "a"
        server_id  = "00000000000000a1"
        unicast_v4 = "192.0.2.11"
        bgp        = { local_as = 64601, peers = [{ address = "192.0.2.1", as = 64496, md5_secret_ref = "Tr0ub4dor" }] }
      }
    }
  }
  expect_failures = [var.nodes]
}
