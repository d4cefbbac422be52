"""AWS's prices in US dollars, for us-east-1 and Linux on x86.

From the price page of each service in November 2025: aws.amazon.com/fargate/pricing,
/elasticache/pricing, /api-gateway/pricing, /lambda/pricing, /privatelink/pricing, /vpc/pricing,
/cloudwatch/pricing, /secrets-manager/pricing, /ecr/pricing. Spot prices change; this one is the usual 70 %
discount. The always-free allowances are separate constants, because other programs of the account may use
them up.
"""

HOURS_PER_MONTH = 730.0

FARGATE_VCPU_HOUR = 0.04048
FARGATE_GB_HOUR = 0.004445
SPOT_SHARE = 0.30

API_GATEWAY_REQUEST = 3.50 / 1e6
LAMBDA_REQUEST = 0.20 / 1e6
LAMBDA_GB_SECOND = 0.0000166667
# Always free: a million requests and 400,000 GB-seconds a month.
LAMBDA_FREE_REQUESTS = 1e6
LAMBDA_FREE_GB_SECONDS = 400_000.0

# Valkey: storage by the hour (at least 100 MB), and units of work (1 KB read or written, or longer Lua).
SERVERLESS_GB_HOUR = 0.084
SERVERLESS_LEAST_GB = 0.1
SERVERLESS_UNIT = 0.0023 / 1e6
CACHE_NODE_HOUR = {"cache.t4g.micro": 0.0128, "cache.t4g.small": 0.0256, "cache.m7g.large": 0.1264}

# Within a region, traffic between ECR and tasks is free, and so is S3 through a gateway endpoint, which is
# how the layers of images come (/ecr/pricing; docs.aws.amazon.com/AmazonECR: vpc-endpoints). Interface
# endpoints and NAT gateways cost money for each GB; a NAT gateway also needs a public address.
ENDPOINT_HOUR, ENDPOINT_GB = 0.01, 0.01
NAT_HOUR, NAT_GB = 0.045, 0.045
PUBLIC_ADDRESS_HOUR = 0.005

LOG_GB = 0.50
# Ten metrics, ten metrics in alarms and three dashboards are always free.
METRIC_MONTH, ALARM_MONTH = 0.30, 0.10
FREE_METRICS, FREE_ALARMS = 10, 10
SECRET_MONTH = 0.40
IMAGE_GB_MONTH = 0.10
