variable "hostname" {
  description = "What the machine calls itself."
  type        = string
}

variable "ssh_user" {
  description = "The login that Ansible uses. It may become root without a password, and has none itself."
  type        = string

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.ssh_user)) && var.ssh_user != "root"
    error_message = "ssh_user: ${var.ssh_user} is no login name; write lower-case letters, digits, '-' and '_', and not root."
  }
}

variable "ssh_public_keys" {
  description = "Who may log in: public keys as in authorized_keys, at least one."
  type        = list(string)

  validation {
    condition     = length(var.ssh_public_keys) > 0
    error_message = "ssh_public_keys: there is none, so nobody could log in; give the contents of a file such as ~/.ssh/id_ed25519.pub."
  }

  validation {
    # The key itself is not repeated in the message: if it is a private one, it would be in the terminal, too.
    condition     = alltrue([for key in var.ssh_public_keys : can(regex("^(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?$", trimspace(key)))])
    error_message = "ssh_public_keys: one is no public key. Give the contents of the file whose name ends in .pub; a private key would end up in Terraform's state."
  }
}
