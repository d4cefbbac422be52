program main
  real*8 :: value
  value = 1
  print *, value
end program main
