variable "servers" {
  description = "How many servers run the bot. More than one are put behind a load balancer."
  type        = number
  default     = 1

  validation {
    condition     = var.servers >= 1 && var.servers <= 25 && floor(var.servers) == var.servers
    error_message = "servers must be a whole number from 1 to 25, which is what a load balancer of type lb11 takes."
  }
}

variable "server_type" {
  description = "Hetzner's type of each server. cx33 has the 4 processors, 8 GB and 80 GB of cx32, which Hetzner sells no more since 2026."
  type        = string
  default     = "cx33"
}

variable "location" {
  description = "Hetzner's location of everything: fsn1 is Falkenstein, near Supabase's eu-central-1."
  type        = string
  default     = "fsn1"
}

variable "image" {
  description = "The operating system of the servers."
  type        = string
  default     = "ubuntu-24.04"
}

variable "name" {
  description = "What the names of servers, network and load balancer begin with."
  type        = string
  default     = "bisect-bot"
}

variable "dns_zone" {
  description = "The zone of the domain, if Hetzner's DNS serves it (example.com for bisect.example.com): records of the domain and of its www are made there, and for several servers a certificate."
  type        = string
  default     = ""
}

variable "certificate_file" {
  description = "The chain of certificates (PEM) of the domain and its www, for several servers without dns_zone."
  type        = string
  default     = ""
}

variable "certificate_key_file" {
  description = "The private key of certificate_file (PEM)."
  type        = string
  default     = ""
  sensitive   = true
}

variable "network_range" {
  description = "The private network of servers and load balancer."
  type        = string
  default     = "10.29.0.0/16"
}
