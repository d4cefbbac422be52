program main
  implicit none
  integer :: spare
  print *, 1
end program main
