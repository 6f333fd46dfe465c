"""An operator's fleet file to change: three nodes at two sites."""

BASE = """\
[fleet]
name = "voice"
version = "0.1.0"

[secrets]
key_ring = "secrets/ring.toml"
certificate = "secrets/chain.pem"
private_key = "secrets/key.pem"
bgp_md5 = "secrets/bgp-md5.key"

[defaults.service]
addresses = ["192.0.2.1", "2001:db8:1::1"]

[defaults.bgp]
local_as = 64601
prefixes = ["192.0.2.0/24", "2001:db8:1::/48"]

[defaults.policy]
min_announcing = 1

[sites.ams]
description = "Amsterdam"

[[sites.ams.defaults.bgp.neighbors]]
address = "198.51.100.1"
peer_as = 64500
families = ["ipv4", "ipv6"]

[sites.fra.defaults.bgp]
neighbors = [{ address = "203.0.113.1", peer_as = 64501, families = ["ipv4", "ipv6"] }]

[[nodes]]
name = "ams-1"
site = "ams"
server_id = "00000000000000a1"
addresses = ["198.51.100.11", "2001:db8:a1::11"]
url = "https://ams-1.edge.example"

[[nodes]]
name = "ams-2"
site = "ams"
server_id = "00000000000000a2"
addresses = ["198.51.100.12", "2001:db8:a1::12"]
ssh = "ams-2.mgmt.example"
[nodes.config.bgp]
med = 50

[[nodes]]
name = "fra-1"
site = "fra"
server_id = "00000000000000f1"
addresses = ["203.0.113.11", "2001:db8:f1::11"]
"""
