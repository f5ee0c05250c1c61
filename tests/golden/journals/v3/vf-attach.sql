-- 0 before
-- 1 after
-- 2 killed 22 journal.commit
-- 3 killed 27 journal.commit
-- 4 killed 28 networks.create_port
-- 5 killed 30 journal.amend_holding
-- 6 killed 31 journal.commit
-- 7 killed 32 attach
-- 8 killed 34 journal.commit
-- 9 killed 39 journal.commit
-- 10 killed 40 networks.create_port
-- 11 killed 42 journal.amend_holding
-- 12 killed 43 journal.commit
-- 13 killed 44 nodedevs.detach
-- 14 killed 45 journal.commit
-- 15 killed 46 attach
-- 16 killed 48 journal.commit
-- 17 killed 49 attach
-- 18 killed 50 journal.commit
-- 19 killed 51 attach
-- 20 incomplete 28 networks.create_port
-- 21 incomplete 32 attach
-- 22 incomplete 40 networks.create_port
-- 23 incomplete 44 nodedevs.detach
-- 24 incomplete 46 attach
-- 25 incomplete 49 attach
-- 26 incomplete 51 attach
-- 27 lost 28 networks.create_port
-- 28 lost 32 attach
-- 29 lost 40 networks.create_port
-- 30 lost 44 nodedevs.detach
-- 31 lost 46 attach
-- 32 lost 49 attach
-- 33 lost 51 attach
-- 34 undoing 01 detach
-- 35 undoing 05 detach
-- 36 undoing 11 nodedevs.reattach
-- 37 undoing 14 host_devices.apply
-- 38 undoing 16 networks.delete_port
-- 39 undoing 18 detach
-- 40 undoing 22 detach
-- 41 undoing 30 host_devices.apply
-- 42 undoing 32 networks.delete_port
INSERT INTO "compensation_totals" VALUES('claim_device','failed',1); -- 20-21
INSERT INTO "compensation_totals" VALUES('attach_hostdev','failed',1); -- 21-23
INSERT INTO "compensation_totals" VALUES('claim_device','failed',2); -- 22-26
INSERT INTO "compensation_totals" VALUES('attach_hostdev','failed',2); -- 24-26
INSERT INTO "compensation_totals" VALUES('define','failed',1); -- 25
INSERT INTO "compensation_totals" VALUES('define','failed',2); -- 26
INSERT INTO "duration_totals" VALUES('attach','allocate',0.001,1,0.0); -- 1
INSERT INTO "duration_totals" VALUES('attach','plug',0.001,1,0.0); -- 1
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0004-4000-8000-000000000000','000000000002','{"mac":"02:00:00:00:00:01","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{}','',1700000000.0); -- 1 5-19 28-42
INSERT INTO "holdings" VALUES('0000:02:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf2','52:54:00:00:00:02',0,'unmanaged','00000000-0005-4000-8000-000000000000','000000000002','{"mac":"02:00:00:00:00:05","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{}','',1700000000.0); -- 1 11-19 30-38
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0004-4000-8000-000000000000','000000000002','{}','{}','',1700000000.0); -- 3-4 20 27
INSERT INTO "holdings" VALUES('0000:02:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf2','52:54:00:00:00:02',0,'unmanaged','00000000-0005-4000-8000-000000000000','000000000002','{}','{}','',1700000000.0); -- 9-10 29
INSERT INTO "holdings" VALUES('0000:01:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf1','52:54:00:00:00:01',1,'pool','00000000-0004-4000-8000-000000000000','000000000002','{"mac":"02:00:00:00:00:01","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{}','domain fake still has it',1700000000.0); -- 21-26
INSERT INTO "holdings" VALUES('0000:02:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf2','52:54:00:00:00:02',0,'unmanaged','00000000-0005-4000-8000-000000000000','000000000002','{}','{}','it failed, for the test',1700000000.0); -- 22
INSERT INTO "holdings" VALUES('0000:02:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf2','52:54:00:00:00:02',0,'unmanaged','00000000-0005-4000-8000-000000000000','000000000002','{"mac":"02:00:00:00:00:05","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{}','it failed, for the test',1700000000.0); -- 23
INSERT INTO "holdings" VALUES('0000:02:10.0','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'ua-vf2','52:54:00:00:00:02',0,'unmanaged','00000000-0005-4000-8000-000000000000','000000000002','{"mac":"02:00:00:00:00:05","admin_mac":"00:00:00:00:00:00","vlan":0,"qos":0,"vlan_proto":"802.1Q","spoofchk":true,"trust":false,"min_rate":0,"max_rate":0,"link_state":null,"mtu":1500}','{}','domain fake still has it',1700000000.0); -- 24-26
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-vf1','fake','52:54:00:00:00:01','hostdev','0000:01:10.0','','','','pool','Initialised','Connected','',1700000000.0); -- 1
INSERT INTO "nics" VALUES('fake:///host','00000000-0001-4000-8000-000000000000','ua-vf2','fake','52:54:00:00:00:02','hostdev','0000:02:10.0','','','','unmanaged','Initialised','Connected','',1700000000.0); -- 1
INSERT INTO "operation_totals" VALUES('attach','hostdev','done','',1); -- 1
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''pool''/><alias name=''ua-vf1''/></interface>"},{"alias":"ua-vf2","mac":"52:54:00:00:00:02","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''unmanaged''/><alias name=''ua-vf2''/></interface>"}],"remembered":[]}','done','done','','','00000000000340008000000000000000',1700000000.0,1700000000.0); -- 1
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''pool''/><alias name=''ua-vf1''/></interface>"},{"alias":"ua-vf2","mac":"52:54:00:00:00:02","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''unmanaged''/><alias name=''ua-vf2''/></interface>"}],"remembered":[]}','running','','','','00000000000340008000000000000000',1700000000.0,NULL); -- 2-19
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''pool''/><alias name=''ua-vf1''/></interface>"},{"alias":"ua-vf2","mac":"52:54:00:00:00:02","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''unmanaged''/><alias name=''ua-vf2''/></interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (claim_device: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 20
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''pool''/><alias name=''ua-vf1''/></interface>"},{"alias":"ua-vf2","mac":"52:54:00:00:00:02","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''unmanaged''/><alias name=''ua-vf2''/></interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (attach_hostdev: it failed, for the test; claim_device: host device 0000:01:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 21
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''pool''/><alias name=''ua-vf1''/></interface>"},{"alias":"ua-vf2","mac":"52:54:00:00:00:02","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''unmanaged''/><alias name=''ua-vf2''/></interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (claim_device: host device 0000:02:10.0 is quarantined: it failed, for the test. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.; attach_hostdev: it failed, for the test; claim_device: host device 0000:01:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 22-23
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''pool''/><alias name=''ua-vf1''/></interface>"},{"alias":"ua-vf2","mac":"52:54:00:00:00:02","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''unmanaged''/><alias name=''ua-vf2''/></interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (attach_hostdev: it failed, for the test; claim_device: host device 0000:02:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.; attach_hostdev: it failed, for the test; claim_device: host device 0000:01:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 24
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''pool''/><alias name=''ua-vf1''/></interface>"},{"alias":"ua-vf2","mac":"52:54:00:00:00:02","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''unmanaged''/><alias name=''ua-vf2''/></interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (define: it failed, for the test; attach_hostdev: it failed, for the test; claim_device: host device 0000:02:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.; attach_hostdev: it failed, for the test; claim_device: host device 0000:01:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 25
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''pool''/><alias name=''ua-vf1''/></interface>"},{"alias":"ua-vf2","mac":"52:54:00:00:00:02","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''unmanaged''/><alias name=''ua-vf2''/></interface>"}],"remembered":[]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (define: it failed, for the test; define: it failed, for the test; attach_hostdev: it failed, for the test; claim_device: host device 0000:02:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.; attach_hostdev: it failed, for the test; claim_device: host device 0000:01:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.). The journal keeps it: run ''virtnetplug recover''.','00000000000340008000000000000000',1700000000.0,NULL); -- 26
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''pool''/><alias name=''ua-vf1''/></interface>"},{"alias":"ua-vf2","mac":"52:54:00:00:00:02","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''unmanaged''/><alias name=''ua-vf2''/></interface>"}],"remembered":[]}','incomplete','incomplete','connection-lost','the connection broke, for the test','00000000000340008000000000000000',1700000000.0,NULL); -- 27-33
INSERT INTO "operations" VALUES(1,'000000000002','attach','fake:///host','00000000-0001-4000-8000-000000000000','fake',1,'both','hostdev','{"nics":[{"alias":"ua-vf1","mac":"52:54:00:00:00:01","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:01''/><source network=''pool''/><alias name=''ua-vf1''/></interface>"},{"alias":"ua-vf2","mac":"52:54:00:00:00:02","type":"hostdev","element":"<interface type=''network''><mac address=''52:54:00:00:00:02''/><source network=''unmanaged''/><alias name=''ua-vf2''/></interface>"}],"remembered":[]}','running','','','','00000000000640008000000000000000',1700000000.0,NULL); -- 34-42
INSERT INTO "steps" VALUES('000000000002',0,'reserve','ua-vf1','allocate',NULL,'done',1700000000.0,0.0,''); -- 1-42
INSERT INTO "steps" VALUES('000000000002',1,'allocate_actual_device','ua-vf1','allocate',NULL,'done',1700000000.0,0.0,''); -- 1-42
INSERT INTO "steps" VALUES('000000000002',2,'reserve','ua-vf2','allocate',NULL,'done',1700000000.0,0.0,''); -- 1-42
INSERT INTO "steps" VALUES('000000000002',3,'allocate_actual_device','ua-vf2','allocate',NULL,'done',1700000000.0,0.0,''); -- 1-42
INSERT INTO "steps" VALUES('000000000002',4,'claim_device','ua-vf1','allocate','live','done',1700000000.0,0.0,''); -- 1 6-19 28-42
INSERT INTO "steps" VALUES('000000000002',5,'plug_device','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1 6-19 21-26 28-42
INSERT INTO "steps" VALUES('000000000002',6,'attach_hostdev','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1 8-19 29-42
INSERT INTO "steps" VALUES('000000000002',7,'confirm','ua-vf1','plug','live','done',1700000000.0,0.0,''); -- 1 8-19 22-26 29-42
INSERT INTO "steps" VALUES('000000000002',8,'claim_device','ua-vf2','allocate','live','done',1700000000.0,0.0,''); -- 1 12-19 30-42
INSERT INTO "steps" VALUES('000000000002',9,'plug_device','ua-vf2','plug','live','done',1700000000.0,0.0,''); -- 1 14-19 24-26 31-42
INSERT INTO "steps" VALUES('000000000002',10,'attach_hostdev','ua-vf2','plug','live','done',1700000000.0,0.0,''); -- 1 16-19 32-42
INSERT INTO "steps" VALUES('000000000002',11,'confirm','ua-vf2','plug','live','done',1700000000.0,0.0,''); -- 1 16-19 25-26 32-42
INSERT INTO "steps" VALUES('000000000002',12,'define','ua-vf1','plug','config','done',1700000000.0,0.0,''); -- 1 18-19 33-42
INSERT INTO "steps" VALUES('000000000002',13,'define','ua-vf2','plug','config','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000002',4,'claim_device','ua-vf1','allocate','live','started',1700000000.0,NULL,''); -- 2-5
INSERT INTO "steps" VALUES('000000000002',5,'plug_device','ua-vf1','plug','live','planned',NULL,NULL,''); -- 2-5 20 27
INSERT INTO "steps" VALUES('000000000002',6,'attach_hostdev','ua-vf1','plug','live','planned',NULL,NULL,''); -- 2-5 20 27
INSERT INTO "steps" VALUES('000000000002',7,'confirm','ua-vf1','plug','live','planned',NULL,NULL,''); -- 2-7 20-21 27-28
INSERT INTO "steps" VALUES('000000000002',8,'claim_device','ua-vf2','allocate','live','planned',NULL,NULL,''); -- 2-7 20-21 27-28
INSERT INTO "steps" VALUES('000000000002',9,'plug_device','ua-vf2','plug','live','planned',NULL,NULL,''); -- 2-11 20-22 27-29
INSERT INTO "steps" VALUES('000000000002',10,'attach_hostdev','ua-vf2','plug','live','planned',NULL,NULL,''); -- 2-13 20-23 27-30
INSERT INTO "steps" VALUES('000000000002',11,'confirm','ua-vf2','plug','live','planned',NULL,NULL,''); -- 2-15 20-24 27-31
INSERT INTO "steps" VALUES('000000000002',12,'define','ua-vf1','plug','config','planned',NULL,NULL,''); -- 2-15 20-24 27-31
INSERT INTO "steps" VALUES('000000000002',13,'define','ua-vf2','plug','config','planned',NULL,NULL,''); -- 2-17 20-25 27-32
INSERT INTO "steps" VALUES('000000000002',6,'attach_hostdev','ua-vf1','plug','live','started',1700000000.0,NULL,''); -- 6-7
INSERT INTO "steps" VALUES('000000000002',8,'claim_device','ua-vf2','allocate','live','started',1700000000.0,NULL,''); -- 8-11
INSERT INTO "steps" VALUES('000000000002',9,'plug_device','ua-vf2','plug','live','started',1700000000.0,NULL,''); -- 12-13
INSERT INTO "steps" VALUES('000000000002',10,'attach_hostdev','ua-vf2','plug','live','started',1700000000.0,NULL,''); -- 14-15
INSERT INTO "steps" VALUES('000000000002',12,'define','ua-vf1','plug','config','started',1700000000.0,NULL,''); -- 16-17
INSERT INTO "steps" VALUES('000000000002',13,'define','ua-vf2','plug','config','started',1700000000.0,NULL,''); -- 18-19 34-42
INSERT INTO "steps" VALUES('000000000002',4,'claim_device','ua-vf1','allocate','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 20
INSERT INTO "steps" VALUES('000000000002',4,'claim_device','ua-vf1','allocate','live','undo-failed',1700000000.0,0.0,'host device 0000:01:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.'); -- 21-26
INSERT INTO "steps" VALUES('000000000002',6,'attach_hostdev','ua-vf1','plug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 21-26
INSERT INTO "steps" VALUES('000000000002',8,'claim_device','ua-vf2','allocate','live','undo-failed',1700000000.0,0.0,'host device 0000:02:10.0 is quarantined: it failed, for the test. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.'); -- 22-23
INSERT INTO "steps" VALUES('000000000002',9,'plug_device','ua-vf2','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 23
INSERT INTO "steps" VALUES('000000000002',8,'claim_device','ua-vf2','allocate','live','undo-failed',1700000000.0,0.0,'host device 0000:02:10.0 is quarantined: domain fake still has it. It is lent to nobody; ''virtnetplug recover'' tries again to give it back.'); -- 24-26
INSERT INTO "steps" VALUES('000000000002',10,'attach_hostdev','ua-vf2','plug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 24-26
INSERT INTO "steps" VALUES('000000000002',12,'define','ua-vf1','plug','config','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 25-26
INSERT INTO "steps" VALUES('000000000002',13,'define','ua-vf2','plug','config','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 26
INSERT INTO "steps" VALUES('000000000002',4,'claim_device','ua-vf1','allocate','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 27
INSERT INTO "steps" VALUES('000000000002',6,'attach_hostdev','ua-vf1','plug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 28
INSERT INTO "steps" VALUES('000000000002',8,'claim_device','ua-vf2','allocate','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 29
INSERT INTO "steps" VALUES('000000000002',9,'plug_device','ua-vf2','plug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 30
INSERT INTO "steps" VALUES('000000000002',10,'attach_hostdev','ua-vf2','plug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 31
INSERT INTO "steps" VALUES('000000000002',12,'define','ua-vf1','plug','config','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 32
INSERT INTO "steps" VALUES('000000000002',13,'define','ua-vf2','plug','config','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 33
