program main
  use no_such_module
  implicit none
end program main
