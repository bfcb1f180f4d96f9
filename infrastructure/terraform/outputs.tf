output "addresses" {
  description = "Where the domain and its www must lead: A and AAAA."
  value       = { ipv4 = local.ipv4, ipv6 = local.ipv6 }
}

output "servers" {
  description = "Where each server is reached by SSH."
  value       = { for server in hcloud_server.bot : server.name => server.ipv4_address }
}

output "inventory" {
  description = "The inventory of Ansible: terraform output -raw inventory >../ansible/inventory.yml"
  value = yamlencode({
    bisect = {
      hosts = { for server in hcloud_server.bot : server.name => { ansible_host = server.ipv4_address } }
      vars = {
        ansible_user  = "root"
        balanced      = local.balanced
        network_range = var.network_range
      }
    }
  })
}
