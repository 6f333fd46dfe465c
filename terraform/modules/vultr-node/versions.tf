terraform {
  required_version = ">= 1.9"

  required_providers {
    vultr = {
      source  = "vultr/vultr"
      version = ">= 2.31.0, < 3.0.0"
    }
  }
}
