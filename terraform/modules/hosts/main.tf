# The machines are there already. What is known of them is kept in the state, so that a plan shows what changes.
resource "terraform_data" "node" {
  for_each = var.nodes

  input = {
    name       = each.key
    provider   = "hosts"
    site       = each.value.site
    server_id  = each.value.server_id
    unicast_v4 = each.value.unicast_v4
    # Written the shortest way, as other modules compare it and make prefixes of it.
    unicast_v6 = each.value.unicast_v6 == null ? null : cidrhost("${each.value.unicast_v6}/128", 0)
    ssh_host   = coalesce(each.value.ssh_host, each.value.unicast_v4)
    ssh_user   = coalesce(each.value.ssh_user, var.ssh_user)
    bgp = each.value.bgp == null ? null : {
      router_id = coalesce(each.value.bgp.router_id, each.value.unicast_v4)
      local_as  = each.value.bgp.local_as
      multihop  = each.value.bgp.multihop
      peers = [for peer in each.value.bgp.peers : {
        address        = peer.address
        as             = peer.as
        family         = strcontains(peer.address, ":") ? "ipv6" : "ipv4"
        md5_secret_ref = peer.md5_secret_ref
      }]
    }
  }
}
