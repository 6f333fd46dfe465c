variables {
  hostname        = "a-1"
  ssh_user        = "ops"
  ssh_public_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfA9mG0examplekeyofnobody ops@example\n"]
}

run "cloud_init_can_read_it" {
  command = plan

  assert {
    condition     = startswith(output.user_data, "#cloud-config\n")
    error_message = "The first line says what it is."
  }
  assert {
    condition     = yamldecode(output.user_data).users[0].ssh_authorized_keys == ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfA9mG0examplekeyofnobody ops@example"]
    error_message = "The key is there, without the end of its line."
  }
  assert {
    condition     = yamldecode(output.user_data).hostname == "a-1" && contains(yamldecode(output.user_data).packages, "python3")
    error_message = "The machine has its name, and what Ansible needs."
  }
}

run "a_private_key_is_refused" {
  command = plan

  variables {
    ssh_public_keys = ["-----BEGIN OPENSSH PRIVATE KEY-----"]
  }
  expect_failures = [var.ssh_public_keys]
}

run "somebody_must_be_able_to_log_in" {
  command = plan

  variables {
    ssh_public_keys = []
  }
  expect_failures = [var.ssh_public_keys]
}

run "more_than_a_cloud_takes_is_refused_before_a_machine_is_made" {
  command = plan

  variables {
    ssh_public_keys = [for number in range(30) : "ssh-rsa ${join("", [for part in range(60) : "AAAAB3Nz"])} ops-${number}@example"]
  }
  expect_failures = [output.user_data]
}
