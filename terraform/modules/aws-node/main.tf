module "cloud_init" {
  source   = "../cloud-init"
  for_each = var.nodes

  hostname        = each.key
  ssh_user        = var.ssh_user
  ssh_public_keys = var.ssh_public_keys
}

resource "aws_instance" "node" {
  for_each = var.nodes

  ami                    = var.ami
  instance_type          = each.value.instance_type
  subnet_id              = each.value.subnet_id
  private_ip             = each.value.private_ip
  vpc_security_group_ids = [aws_security_group.nodes.id]
  ipv6_address_count     = var.ipv6 ? 1 : null
  user_data              = module.cloud_init[each.key].user_data
  tags                   = merge(var.tags, { Name = each.key })

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  root_block_device {
    encrypted = true
  }

  lifecycle {
    # A change of either would stop, or make anew, all machines at once. After the first boot they are Ansible's; to
    # replace one, drain it and say `terraform apply -replace=...`.
    ignore_changes = [user_data, ami]
  }
}

# Where SSH finds the machine, and the same after it is replaced. AWS translates it: the machine itself knows only its
# private address, so that one is the node's unicast address.
resource "aws_eip" "node" {
  for_each = var.nodes

  domain   = "vpc"
  instance = aws_instance.node[each.key].id
  tags     = merge(var.tags, { Name = each.key })
}
