terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # 6.28.0 is the first whose aws_lb_target_group_attachment has quic_server_id.
      version = ">= 6.28.0, < 7.0.0"
    }
  }
}
