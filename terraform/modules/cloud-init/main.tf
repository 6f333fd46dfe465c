# What Ansible needs to begin, and nothing else: a login that may become root, and Python. The rest of a machine is
# Ansible's, which can change it again; a change here is a new machine.
locals {
  user_data = {
    hostname          = var.hostname
    preserve_hostname = false
    ssh_pwauth        = false
    disable_root      = true
    package_update    = true
    packages          = ["python3", "python3-apt", "sudo"]
    users = [{
      name                = var.ssh_user
      shell               = "/bin/bash"
      sudo                = "ALL=(ALL) NOPASSWD:ALL"
      lock_passwd         = true
      ssh_authorized_keys = [for key in var.ssh_public_keys : trimspace(key)]
    }]
  }
}
