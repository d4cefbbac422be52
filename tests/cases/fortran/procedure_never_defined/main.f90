program main
  implicit none
  external :: elsewhere
  call elsewhere()
end program main
