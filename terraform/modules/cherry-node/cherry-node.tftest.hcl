mock_provider "cherryservers" {
  mock_data "cherryservers_project" {
    defaults = { bgp = { enabled = true, local_asn = 64601 } }
  }
  mock_data "cherryservers_region" {
    defaults = { bgp = { asn = 64496, hosts = ["198.51.100.1", "198.51.100.2"] } }
  }
}

variables {
  nodes           = { a-1 = { site = "a", server_id = "00000000000000a1", region = "LT-Siauliai", plan = "B1-4-4gb-80s-shared" } }
  project_id      = 7
  ssh_public_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfA9mG0examplekeyofnobody ops@example"]
}

run "a_node_announces_to_the_regions_routers" {
  command = plan

  assert {
    condition     = [for peer in output.edge_nodes["a-1"].bgp.peers : peer.address] == ["198.51.100.1", "198.51.100.2"]
    error_message = "The region says who they are."
  }
  assert {
    condition     = output.edge_nodes["a-1"].bgp.local_as == 64601
    error_message = "From the project's AS."
  }
}

run "an_as_of_our_own" {
  command = plan

  variables {
    bgp = { local_as = 65551 }
  }
  assert {
    condition     = output.edge_nodes["a-1"].bgp.local_as == 65551
    error_message = "It goes before the project's."
  }
}

run "a_project_without_bgp_announces_nothing" {
  command = plan

  override_data {
    target = data.cherryservers_project.fleet
    values = { bgp = { enabled = false, local_asn = 0 } }
  }
  expect_failures = [data.cherryservers_project.fleet]
}

# Terraform's mocks make an empty set of what a provider computes as a set of objects.
run "a_machine_that_nobody_reaches_is_no_node" {
  expect_failures = [output.edge_nodes]
}
