output "edge_nodes" {
  description = "The nodes as ../../contract/edge_nodes.schema.json says: what `edgectl inventory --from-terraform` reads."
  value       = { for name, node in terraform_data.node : name => node.output }
}
