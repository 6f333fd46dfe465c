output "user_data" {
  description = "A cloud-config for the first boot. It holds public keys and no secret."
  value       = "#cloud-config\n${yamlencode(local.user_data)}"

  precondition {
    # AWS's limit, the smallest; Cherry Servers is given it in base64.
    condition     = length(base64encode("#cloud-config\n${yamlencode(local.user_data)}")) <= 16384
    error_message = "ssh_public_keys: ${length(var.ssh_public_keys)} keys are more than fit into a machine's first boot (16384 bytes in base64); give those of who begins, the rest is Ansible's."
  }
}
