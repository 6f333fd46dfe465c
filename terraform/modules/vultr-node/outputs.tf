output "edge_nodes" {
  description = "The nodes as ../../contract/edge_nodes.schema.json says: what `edgectl inventory --from-terraform` reads."
  value = { for name, node in vultr_instance.node : name => {
    name       = name
    provider   = "vultr"
    site       = var.nodes[name].site
    server_id  = var.nodes[name].server_id
    unicast_v4 = node.main_ip
    unicast_v6 = var.ipv6 ? node.v6_main_ip : null
    ssh_host   = node.main_ip
    ssh_user   = var.ssh_user
    bgp = var.bgp == null ? null : {
      router_id = node.main_ip
      local_as  = var.bgp.local_as
      multihop  = 2
      peers = [for address in concat(var.bgp.peers_v4, var.bgp.peers_v6) : {
        address        = address
        as             = var.bgp.peer_as
        family         = strcontains(address, ":") ? "ipv6" : "ipv4"
        md5_secret_ref = var.bgp.md5_secret_ref
      }]
    }
  } }
}
