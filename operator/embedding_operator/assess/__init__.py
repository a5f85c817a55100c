"""From observed children, pods and reports to conditions. Pure."""
