program main
  use queue
  implicit none
  print *, length()
end program main
