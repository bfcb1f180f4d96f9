variable "servers" {
  description = "How many servers run the bot. More than one are put behind a load balancer."
  type        = number
  default     = 1

  validation {
    condition     = var.servers >= 1 && var.servers <= 50 && floor(var.servers) == var.servers
    error_message = "servers must be a whole number from 1 to 50."
  }
}

variable "server_type" {
  description = "Hetzner's type of each server: cx32 has 4 processors and 8 GB."
  type        = string
  default     = "cx32"
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

variable "dns" {
  description = "Whether Hetzner's DNS serves the domain: its zone and the records of @ and www are made then."
  type        = bool
  default     = false
}

variable "network_range" {
  description = "The private network of servers and load balancer."
  type        = string
  default     = "10.29.0.0/16"
}
