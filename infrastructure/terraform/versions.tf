terraform {
  required_version = ">= 1.5"
  required_providers {
    hcloud = {
      source  = "hetznercloud/hcloud"
      version = "~> 1.54"
    }
  }
}

# Terraform takes no YAML by -var-file; this reads it, so plain `terraform apply` is enough.
locals {
  secrets = yamldecode(file("${path.module}/../secrets.yml"))
  domain  = local.secrets.domain
}

provider "hcloud" {
  token = local.secrets.hcloud_token
}
