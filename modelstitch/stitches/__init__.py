"""What leads from one representation to another: shapes, maps, normal equations."""
