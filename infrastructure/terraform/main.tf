# Servers for the bot on Hetzner Cloud: network, firewall, servers, and, for more than one, a load balancer with the certificate.

locals {
  balanced = var.servers > 1
  # Where the domain leads.
  ipv4 = local.balanced ? hcloud_load_balancer.bot[0].ipv4 : hcloud_server.bot[0].ipv4_address
  ipv6 = local.balanced ? hcloud_load_balancer.bot[0].ipv6 : hcloud_server.bot[0].ipv6_address
}

resource "hcloud_ssh_key" "operator" {
  name       = "${var.name}-operator"
  public_key = local.secrets.ssh_public_key
}

resource "hcloud_network" "bot" {
  name     = var.name
  ip_range = var.network_range
}

resource "hcloud_network_subnet" "bot" {
  network_id   = hcloud_network.bot.id
  type         = "cloud"
  network_zone = "eu-central"
  ip_range     = cidrsubnet(var.network_range, 8, 1)
}

resource "hcloud_firewall" "bot" {
  name = var.name

  dynamic "rule" {
    for_each = toset(["22", "80", "443"])
    content {
      direction  = "in"
      protocol   = "tcp"
      port       = rule.value
      source_ips = ["0.0.0.0/0", "::/0"]
    }
  }

  rule {
    direction  = "in"
    protocol   = "icmp"
    source_ips = ["0.0.0.0/0", "::/0"]
  }
}

resource "hcloud_server" "bot" {
  count        = var.servers
  name         = var.servers == 1 ? "${var.name}-prod" : "${var.name}-prod-${count.index + 1}"
  server_type  = var.server_type
  image        = var.image
  location     = var.location
  ssh_keys     = [hcloud_ssh_key.operator.id]
  firewall_ids = [hcloud_firewall.bot.id]
  labels       = { service = var.name }

  public_net {
    ipv4_enabled = true
    ipv6_enabled = true
  }

  network {
    network_id = hcloud_network.bot.id
  }

  depends_on = [hcloud_network_subnet.bot]

  lifecycle {
    # A newer image, or a new key, is no reason to replace a server that runs.
    ignore_changes = [image, ssh_keys]
  }
}

resource "hcloud_managed_certificate" "bot" {
  count        = local.balanced ? 1 : 0
  name         = var.name
  domain_names = [local.domain, "www.${local.domain}"]
}

resource "hcloud_load_balancer" "bot" {
  count              = local.balanced ? 1 : 0
  name               = var.name
  load_balancer_type = "lb11"
  location           = var.location

  algorithm {
    type = "least_connections"
  }
}

resource "hcloud_load_balancer_network" "bot" {
  count            = local.balanced ? 1 : 0
  load_balancer_id = hcloud_load_balancer.bot[0].id
  network_id       = hcloud_network.bot.id

  depends_on = [hcloud_network_subnet.bot]
}

resource "hcloud_load_balancer_target" "bot" {
  count            = local.balanced ? var.servers : 0
  type             = "server"
  load_balancer_id = hcloud_load_balancer.bot[0].id
  server_id        = hcloud_server.bot[count.index].id
  use_private_ip   = true

  depends_on = [hcloud_load_balancer_network.bot]
}

resource "hcloud_load_balancer_service" "bot" {
  count            = local.balanced ? 1 : 0
  load_balancer_id = hcloud_load_balancer.bot[0].id
  protocol         = "https"
  listen_port      = 443
  destination_port = 80

  http {
    certificates  = [hcloud_managed_certificate.bot[0].id]
    redirect_http = true
  }

  health_check {
    protocol = "http"
    port     = 80
    interval = 10
    timeout  = 5
    retries  = 2

    http {
      path         = "/health"
      status_codes = ["200"]
    }
  }
}

resource "hcloud_zone" "bot" {
  count = var.dns ? 1 : 0
  name  = local.domain
  mode  = "primary"
}

resource "hcloud_zone_rrset" "ipv4" {
  for_each = var.dns ? toset(["@", "www"]) : toset([])
  zone     = hcloud_zone.bot[0].name
  name     = each.value
  type     = "A"
  ttl      = 300
  records  = [{ value = local.ipv4 }]
}

resource "hcloud_zone_rrset" "ipv6" {
  for_each = var.dns ? toset(["@", "www"]) : toset([])
  zone     = hcloud_zone.bot[0].name
  name     = each.value
  type     = "AAAA"
  ttl      = 300
  records  = [{ value = local.ipv6 }]
}
