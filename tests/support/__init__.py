"""What tests share: factories, real servers, processes, case files."""
