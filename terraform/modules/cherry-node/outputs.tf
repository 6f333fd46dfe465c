output "edge_nodes" {
  description = "The nodes as ../../contract/edge_nodes.schema.json says: what `edgectl inventory --from-terraform` reads."
  value = { for name, node in cherryservers_server.node : name => {
    name       = name
    provider   = "cherry"
    site       = var.nodes[name].site
    server_id  = var.nodes[name].server_id
    unicast_v4 = local.v4[name]
    unicast_v6 = local.v6[name]
    ssh_host   = local.v4[name]
    ssh_user   = var.ssh_user
    bgp = var.bgp == null ? null : {
      router_id = local.v4[name]
      local_as  = coalesce(var.bgp.local_as, data.cherryservers_project.fleet.bgp.local_asn)
      multihop  = var.bgp.multihop
      peers = [for address in data.cherryservers_region.of[var.nodes[name].region].bgp.hosts : {
        address        = address
        as             = data.cherryservers_region.of[var.nodes[name].region].bgp.asn
        family         = strcontains(address, ":") ? "ipv6" : "ipv4"
        md5_secret_ref = var.bgp.md5_secret_ref
      }]
    }
  } }

  precondition {
    condition     = alltrue([for address in local.v4 : address != null])
    error_message = "${join(", ", [for name, address in local.v4 : name if address == null])}: Cherry Servers gave no IPv4 address of the type primary-ip; look at the server's addresses in its portal."
  }
}
