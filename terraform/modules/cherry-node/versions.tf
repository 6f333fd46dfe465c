terraform {
  required_version = ">= 1.9"

  required_providers {
    cherryservers = {
      source  = "cherryservers/cherryservers"
      version = ">= 1.5.0, < 2.0.0"
    }
  }
}
