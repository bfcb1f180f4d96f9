# Servers for the bot on Hetzner Cloud: network, firewall, servers, and, for more than one, a load balancer with the certificate.

locals {
  balanced = var.servers > 1
  # Where the domain leads.
  ipv4 = local.balanced ? hcloud_load_balancer.bot[0].ipv4 : hcloud_server.bot[0].ipv4_address
  ipv6 = local.balanced ? hcloud_load_balancer.bot[0].ipv6 : hcloud_server.bot[0].ipv6_address
  dns  = var.dns_zone != ""
  # The domain and its www, as records of the zone are called: "bisect" in "example.com"; "@" is the zone itself.
  record  = local.domain == var.dns_zone ? "@" : trimsuffix(local.domain, ".${var.dns_zone}")
  records = local.dns ? toset([local.record, local.record == "@" ? "www" : "www.${local.record}"]) : toset([])
}

resource "hcloud_ssh_key" "operator" {
  name       = "${var.name}-operator"
  public_key = local.secrets.ssh_public_key
}

resource "hcloud_network" "bot" {
  name     = var.name
  ip_range = var.network_range
}

data "hcloud_location" "bot" {
  name = var.location
}

resource "hcloud_network_subnet" "bot" {
  network_id   = hcloud_network.bot.id
  type         = "cloud"
  network_zone = data.hcloud_location.bot.network_zone
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
    # Else Terraform takes the server out of the network and puts it back at each apply (the provider's issue 650).
    alias_ips = []
  }

  depends_on = [hcloud_network_subnet.bot]

  lifecycle {
    # A newer image, or a new key, is no reason to replace a server that runs.
    ignore_changes = [image, ssh_keys]
  }
}

# Hetzner makes and renews one only for zones that its own DNS serves.
resource "hcloud_managed_certificate" "bot" {
  count        = local.balanced && local.dns ? 1 : 0
  name         = var.name
  domain_names = [local.domain, "www.${local.domain}"]

  depends_on = [hcloud_zone_rrset.ipv4, hcloud_zone_rrset.ipv6]
}

resource "hcloud_uploaded_certificate" "bot" {
  count       = local.balanced && !local.dns ? 1 : 0
  name        = "${var.name}-${substr(filesha256(var.certificate_file), 0, 8)}"
  certificate = file(var.certificate_file)
  private_key = file(var.certificate_key_file)

  lifecycle {
    # The load balancer holds the old one until it has the new one.
    create_before_destroy = true
    precondition {
      condition     = var.certificate_file != "" && var.certificate_key_file != ""
      error_message = "Several servers need a certificate at their load balancer: set dns_zone, or certificate_file and certificate_key_file (docs/production.md, \"More servers\")."
    }
  }
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
    certificates  = concat(hcloud_managed_certificate.bot[*].id, hcloud_uploaded_certificate.bot[*].id)
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

# The zone itself is the operator's: it is made and delegated before (docs/production.md), and stays when this goes.
data "hcloud_zone" "bot" {
  count = local.dns ? 1 : 0
  name  = var.dns_zone
}

resource "hcloud_zone_rrset" "ipv4" {
  for_each = local.records
  zone     = data.hcloud_zone.bot[0].name
  name     = each.value
  type     = "A"
  ttl      = 300
  records  = [{ value = local.ipv4 }]
}

resource "hcloud_zone_rrset" "ipv6" {
  for_each = local.records
  zone     = data.hcloud_zone.bot[0].name
  name     = each.value
  type     = "AAAA"
  ttl      = 300
  records  = [{ value = local.ipv6 }]
}
