output "user_data" {
  description = "A cloud-config for the first boot. It holds public keys and no secret."
  value       = "#cloud-config\n${yamlencode(local.user_data)}"
}
