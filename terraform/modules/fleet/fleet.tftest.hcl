variables {
  parts = [
    { a-1 = { name = "a-1", provider = "hosts", site = "a", server_id = "00000000000000a1", unicast_v4 = "192.0.2.11", unicast_v6 = null, ssh_host = "192.0.2.11", ssh_user = "ops", bgp = null } },
    { b-1 = { name = "b-1", provider = "vultr", site = "b", server_id = "00000000000000b1", unicast_v4 = "192.0.2.12", unicast_v6 = null, ssh_host = "192.0.2.12", ssh_user = "ops", bgp = null } },
  ]
}

run "parts_become_one" {
  command = plan

  assert {
    condition     = join(" ", keys(output.edge_nodes)) == "a-1 b-1"
    error_message = "All nodes of all parts, by their names."
  }
}

run "a_server_id_is_one_nodes_in_all_parts" {
  command = plan

  variables {
    parts = [
      { a-1 = { name = "a-1", provider = "hosts", site = "a", server_id = "00000000000000a1", unicast_v4 = "192.0.2.11", unicast_v6 = null, ssh_host = "192.0.2.11", ssh_user = "ops", bgp = null } },
      { b-1 = { name = "b-1", provider = "vultr", site = "b", server_id = "00000000000000a1", unicast_v4 = "192.0.2.12", unicast_v6 = null, ssh_host = "192.0.2.12", ssh_user = "ops", bgp = null } },
    ]
  }
  expect_failures = [var.parts]
}
