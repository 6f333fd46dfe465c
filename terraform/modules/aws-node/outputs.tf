output "edge_nodes" {
  description = "The nodes as ../../contract/edge_nodes.schema.json says: what `edgectl inventory --from-terraform` reads."
  value = { for name, node in aws_instance.node : name => {
    name       = name
    provider   = "aws"
    site       = var.nodes[name].site
    server_id  = var.nodes[name].server_id
    unicast_v4 = node.private_ip
    unicast_v6 = var.ipv6 ? one(node.ipv6_addresses) : null
    ssh_host   = aws_eip.node[name].public_ip
    ssh_user   = var.ssh_user
    bgp        = null
  } }
}

output "nlb_dns_name" {
  description = "What callers' names point to with `nlb`; otherwise null."
  value       = one(aws_lb.edge[*].dns_name)
}

output "nlb_target_group_arn" {
  description = "The target group of `nlb`, for what the provider cannot say of it; otherwise null."
  value       = one(aws_lb_target_group.edge[*].arn)
}

output "accelerator_addresses" {
  description = "The anycast addresses of `global_accelerator`; otherwise none."
  value       = flatten(aws_globalaccelerator_accelerator.edge[*].ip_sets[*].ip_addresses)
}
